"""What `-m procvision_sdk.adapter` finds in this folder first."""

"""`python -m procvision_sdk.adapter`: for project folders under development, people and older hosts."""

from procvision_sdk.adapter.boot import main

main()

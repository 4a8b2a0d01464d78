"""One per station: hosts in, supervised algorithm processes out."""

from procvision_sdk import __version__ as __version__

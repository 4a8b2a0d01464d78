import os

# The interpreter that has the peers. It is taken out of the environment: a station refuses a PROCVISION_ variable that
# it does not know, and would not start beside it.
PEERS_PYTHON = os.environ.pop("PROCVISION_PEERS_PYTHON", "")

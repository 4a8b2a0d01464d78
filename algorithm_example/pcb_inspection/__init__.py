"""Golden-template inspection of bare printed circuit boards: locate the board, then find and classify its defects."""

"""Which deployment inspects which product."""

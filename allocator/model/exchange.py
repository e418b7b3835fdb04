"""Exchange of sites where places are never short (to be filled)."""
def fits(rx):
    return False

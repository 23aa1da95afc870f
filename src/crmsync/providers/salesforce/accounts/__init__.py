"""Companies as accounts: which account a company's name means, making those that are missing, contacts after them."""

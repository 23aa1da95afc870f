"""Tags as membership of campaigns: a field of people that is kept in other records than theirs."""

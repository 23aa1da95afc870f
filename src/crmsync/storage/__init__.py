"""Where bookkeeping and local records can live, found by entry points; SQL needs the extra ``sql``."""

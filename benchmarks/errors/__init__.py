"""How well failures are classified and grouped, and in what time, beside the usual tools."""

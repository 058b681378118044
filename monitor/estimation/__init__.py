"""Performance estimated before labels are known: CBPE, DLE, their sampling errors and their skill."""

"""Tables and views of databases as sources: one source (`source`), and what is particular to each kind of database."""

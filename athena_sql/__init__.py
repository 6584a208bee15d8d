"""The schema's single truth: the table's DDL, the decoded view and the saved queries, in Athena's dialect."""

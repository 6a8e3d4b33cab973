"""Resource definitions, written: configurations, then models, then applications.

All happens in the transaction of one request. What is wrong is gathered in the documents' reports,
so that a person is told all at once and the transaction ends with nothing changed.
"""

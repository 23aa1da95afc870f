"""The first Bulk API, ``/services/async``: jobs of batches, in XML, JSON or CSV.

Salesforce calls it "Bulk API" where it calls its successor "Bulk API 2.0", and its XML "dataload".
"""

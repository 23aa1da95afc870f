"""Requests made of requests: Composite, Composite Batch, Composite Graph and sObject Tree."""

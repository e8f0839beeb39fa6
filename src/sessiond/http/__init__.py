"""HTTP: endpoint declarations, the dispatcher and the OpenAPI document made from them, and the dialects."""

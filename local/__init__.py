"""What runs the app on one machine; nothing of it is deployed.

- host: a stand-in for the Azure Functions host.
- run: `./run`, which starts the host with the servers it needs.
- repo: the work on the repository: its environment, its checks, the tables in its documents.

`run` imports `host` and `repo`; `host` and `repo` import neither of the others.
"""

"""Protocols as nodes, each readable in one sitting beside its paper."""

"""Model vendors. One file (or folder) each, one contract: `base.Provider`."""

"""The gRPC face: a servicer a service, one conversion module, one error table."""

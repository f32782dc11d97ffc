"""Policies trained with stable-baselines3 and sb3-contrib: readers of their files, and torch's own decisions.

`archive` reads the zip, `unpickling` the pickles in it, `kinds` says which policies can be exported, `policy` builds
the network, `statistics` reads those of VecNormalize, `weights` converts the network for the writer of graphs (with
`traced` for modules that it has no operators for), and `reference` decides with torch.

These modules need torch, gymnasium, stable-baselines3 and sb3-contrib, which serving does not.
"""

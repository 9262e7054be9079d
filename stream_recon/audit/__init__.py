"""Proof: trees and chains of certificates, signatures, and the check of it all. May import ``model, errors, limits``; no I/O.

merkle    RFC 6962 trees and proofs             note        C2SP signed notes, keys
chain     one chain: seq, prev                  checkpoint  C2SP checkpoints
follow    what a chain promises                 policy      C2SP policies: whose checkpoints are believed
ed25519   keys and signatures                   entries     what is signed, by which key, as leaves of a tree
dsse      envelopes                             verify      an auditor's check of it all
text      base64, JSON and times                stretches  stretches of time
certified  what chains say of a range           gate        whether the range is clean, certified and complete
rederive  certificates against recordings       ledger      whether receipts balance
witness   who cosigns a log's checkpoints, and what it is asked
joining   bodies and their events, as they come from two topics
"""

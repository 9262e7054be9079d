"""Proof: trees and chains of certificates, and the check of them. May import ``model, errors, limits``; does no I/O."""

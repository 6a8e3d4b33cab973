"""The program that keeps one replica alive. It outlives the scheduler that started it.

It runs on the standard library alone, so nothing here imports from outside this folder, and what
it shares with the driver are the files in the replica's folder.
"""

"""The vendor's runtime tester `bmrt_test`: its options, lines, compare rule and exit codes.

Known from the tester's published source and from runs of the program; docs/bmrt_test.md says what is measured. The
strict comparison is `bittrue verify`.
"""

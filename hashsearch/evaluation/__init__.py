"""Measuring searches: comparisons of methods on labelled pictures, and the quality of an index in use.

Seven sub-packages on four floors; each imports only from floors below it (`labelling` also from `report`), and
`tests/test_architecture.py` checks that:

    report     labelling   results to one page, tables and charts; clusters that people name
    compare    live        a plan's methods on its tasks, one result file each; a running index: nightly, tuning
    methods                the ways to search, the features they compare and the cache of these
    data       metrics     data sets, distortions, tasks and their right answers; figures and their intervals

`metrics` is pure numpy (its maps use scikit-learn). `compare` only writes result files, and `report` only reads them.
`progress` is what all of them report progress with; the command line draws it.
"""

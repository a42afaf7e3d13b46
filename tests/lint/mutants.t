#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Every mutant of tests/sim/mutants still fits the code it is to spoil. One
# that does not is to be written anew: old lines, context and all, once in the
# file. Whether the simulator finds them is for `make sim-mutants`.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../sim";
use Lint;
use Mutants;

prove_lint('mutants', sub {
    my ($tree) = @_;
    my @found;
    for my $mutant (mutants("$tree/tests/sim/mutants")) {
        my @bad;
        mutate($tree, $mutant->[1], \@bad);
        push @found, map { substr $_, length($tree) + 1 } @bad;
        push @found, "tests/sim/mutants/$mutant->[0].patch:1: no reason"
            unless Lint::slurp($mutant->[1]) =~ /^\w/;
    }
    return @found;
});
done();

#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# timeout: 300
#
# tests/parity.tsv tells for every behaviour that the reference clients test
# which test of ours proves it, or why none does. Columns: source, file, test,
# our test, reason. A named test must be a function of a test program, or a
# case of tests/cluster/cases_*.h.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

sub test_functions {
    my ($tree) = @_;
    my %names;
    for my $file (files($tree, qr/\.c$/, 'tests')) {
        my $text = code_of("$tree/$file");
        $names{$1} = 1 while $text =~ /^(\w+)\(/mg;
    }
    for my $file (files($tree, qr/cases_\w+\.h$/, 'tests')) {
        open my $in, '<', "$tree/$file" or die "$file: $!\n";
        while (<$in>) {
            $names{$1} = 1 if /^\s*\{ "([A-Z]{2}\d\d)",/;
        }
    }
    return \%names;
}

prove_lint('parity', sub {
    my ($tree) = @_;
    my $table = 'tests/parity.tsv';
    return () unless -f "$tree/$table";
    my $known = test_functions($tree);
    my (@found, %seen);
    my $number = 0;
    for (lines("$tree/$table")) {
        $number++;
        next if /^#/ || !length || /^source\tfile\ttest\t/;
        my @column = split /\t/, $_, -1;
        if (@column != 5) {
            push @found, sprintf '%s:%d: %d columns', $table, $number,
                scalar @column;
            next;
        }
        my ($source, $file, $test, $ours, $reason) = @column;
        push @found, "$table:$number: $test of $file is told twice"
            if $seen{"$source\t$file\t$test"}++;
        push @found, "$table:$number: neither test nor reason"
            if $ours !~ /\w/ && $reason !~ /\w/;
        for my $name (split /[,\s]+/, $ours) {
            next if $name !~ /\w/ || $known->{ $name =~ s/.*[.:]//r };
            push @found, "$table:$number: no test is named $name";
        }
    }
    return @found;
});
done();

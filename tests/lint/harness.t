#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# timeout: 300
#
# A test that fails, hangs, leaks, dies or crashes makes the run fail, and the
# closing line counts it; a skipped one does not.
use strict;
use warnings;
use File::Temp qw(tempdir);
use FindBin;
use lib $FindBin::Bin;
use Lint;

my $root = root();
my $folder = tempdir(CLEANUP => 1);
my $path = 'tests/lint/bad/harness/sick_test';
system("mkdir -p '$folder/tests/lint/bad/harness'") == 0 or die;
system("cc -std=gnu11 -D_GNU_SOURCE -g -I'$root/tests' '$root/$path.c' "
    . "'$root/tests/harness/harness.c' -lcmocka -o '$folder/$path'") == 0
    or die "cannot build the sick test\n";

my %expected = (
    well => [ 0, '2 passed, 0 failed' ],
    skips => [ 0, '2 passed, 0 failed' ],
    fails => [ 1, '1 passed, 1 failed' ],
    leaks => [ 1, '1 passed, 1 failed' ],
    dies => [ 1, '0 passed, 1 failed' ],
    crashes => [ 1, '1 passed, 1 failed' ],
    hangs => [ 1, '0 passed, 1 failed' ],
);
delete $ENV{TK_TEST_FUNCTION};
delete $ENV{TK_WRAPPER};
for my $how (sort keys %expected) {
    local @ENV{qw(SICK TK_VARIANT TK_STRETCH)} = ($how, $folder, 1);
    my @lines = `perl '$root/tests/harness/run.pl' '$folder/$path' 2>&1`;
    my $status = $? >> 8;
    chomp(my $last = $lines[-1] // '');
    my ($wanted, $line) = @{ $expected{$how} };
    ok($status == $wanted && $last eq $line, "harness: a test that $how",
        "exit status $status, last line: $last", @lines);
}

{
    local @ENV{qw(SICK TK_VARIANT TK_TEST_FUNCTION)} = ('fails', $folder,
        'is_well*');
    my @lines = `perl '$root/tests/harness/run.pl' '$folder/$path' 2>&1`;
    ok($? == 0 && $lines[-1] eq "1 passed, 0 failed\n",
        'harness: one function alone', @lines);
}
done();

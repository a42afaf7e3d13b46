#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Every program of examples/ runs against a playground and ends with status
# 0. Its one argument is the list of PD endpoints. timeout: 300
use strict;
use warnings;
use File::Basename qw(dirname basename);
use POSIX qw(WNOHANG);

my $root = dirname(__FILE__) . '/../..';
my $build = $ENV{TK_BUILD} // "$root/build";
my $playground = "$build/release/tikv-playground";
my @programs = sort grep { -x } map { "$build/examples/" . basename($_, '.c') }
    glob "$root/examples/*.c";

if (!@programs || !-x $playground) {
    print "1..0 # SKIP no example or no playground is built\n";
    exit 0;
}

my $pid = open my $ready, '-|', $playground, '--port', '0'
    or die "$playground: $!\n";
my $pd;
eval {
    local $SIG{ALRM} = sub { die "not ready in time\n" };
    alarm 30;
    while (<$ready>) {
        next unless /^ready .*?pd=(\S+)/;
        $pd = $1;
        last;
    }
    alarm 0;
};
print '1..', scalar @programs + 1, "\n";
my $count = 0;
for my $program (@programs) {
    $count++;
    my $name = basename($program);
    my @lines = defined $pd ? `timeout -k 5 60 '$program' '$pd' 2>&1` : ();
    my $status = $?;
    if (defined $pd && $status == 0) {
        print "ok $count - $name\n";
        next;
    }
    print "not ok $count - $name\n";
    print STDERR defined $pd ? "status $status\n" : "no playground\n", @lines;
}
kill 'TERM', $pid;
eval {
    local $SIG{ALRM} = sub { die "does not end\n" };
    alarm 20;
    close $ready;
    alarm 0;
};
my $ended = !$@ && $? == 0;
kill 'KILL', $pid unless $ended;
$count++;
print $ended ? '' : 'not ', "ok $count - the playground ends on SIGTERM\n";

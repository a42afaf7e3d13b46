#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# run.pl [--jobs N] PROGRAM...: runs test programs under prove's engine, each
# under a time limit, and ends with the line "N passed, N failed".
#
# A program is a cmocka binary made from tests/<path>.c or a perl script *.t;
# both speak TAP. The limit is 60 s or what the source states ("timeout: N"),
# times TK_STRETCH. A program that dies, hangs or breaks its plan counts as
# one failure even if every line it printed was ok.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);

my $root = abs_path(dirname(__FILE__) . '/../..');

if (@ARGV && $ARGV[0] eq '--one') {
    exit run_one($ARGV[1]);
}

# Adds what the sanitizers need unless the caller said something else.
sub set_environment {
    my %wanted = (
        TSAN_OPTIONS => 'ignore_noninstrumented_modules=1:halt_on_error=0:'
            . 'second_deadlock_stack=1:history_size=4',
        ASAN_OPTIONS => 'detect_leaks=1:detect_stack_use_after_return=0',
        UBSAN_OPTIONS => 'print_stacktrace=1',
    );
    for (keys %wanted) {
        my $own = $ENV{$_};
        $ENV{$_} = defined $own && length $own ? "$wanted{$_}:$own" : $wanted{$_};
    }
    my $suppressions = "$root/tests/harness/tsan.supp";
    $ENV{TSAN_OPTIONS} .= ":suppressions=$suppressions" if -f $suppressions;
    $ENV{CMOCKA_MESSAGE_OUTPUT} = 'TAP';
    $ENV{TK_ROOT} = $root;
}

sub limit_of {
    my ($program) = @_;
    my $source = $program;
    if ($source !~ /\.t$/) {
        my $variant = $ENV{TK_VARIANT} // '';
        $source = abs_path($program) // $program;
        $source =~ s{^\Q$variant\E/}{};
        $source = "$root/$source.c";
    }
    my $limit = 60;
    if (open my $in, '<', $source) {
        while (<$in>) {
            last if $. > 20;
            $limit = $1 if /\btimeout:\s*(\d+)/;
        }
    }
    return $limit * ($ENV{TK_STRETCH} || 1);
}

sub run_one {
    my ($program) = @_;
    my $limit = limit_of($program);
    my @command = $program =~ /\.t$/ ? ($^X, $program) : ($program);
    unshift @command, split ' ', $ENV{TK_WRAPPER}
        if $ENV{TK_WRAPPER} && $program !~ /\.t$/;
    $ENV{TK_TEST_LIMIT} = $limit if $program !~ /\.t$/;
    $| = 1;
    open my $out, '-|', 'timeout', '-k', '5', $limit, @command
        or die "$program: $!\n";
    while (<$out>) {
        # cmocka prints a skipped test as a failed one.
        s/^not (ok \d+ # SKIP)/$1/;
        print;
    }
    close $out;
    my $status = $?;
    print "# ended by the limit of $limit s\n" if $status >> 8 == 124;
    return $status & 127 ? 128 + ($status & 127) : $status >> 8;
}

sub main {
    require TAP::Harness;
    my $jobs = 1;
    if (@ARGV && $ARGV[0] eq '--jobs') {
        (undef, $jobs) = splice @ARGV, 0, 2;
    }
    set_environment();
    my @programs = @ARGV;
    if (!@programs) {
        print "no test is named so\n0 passed, 0 failed\n";
        return 1;
    }
    my $build = $ENV{TK_VARIANT} // '';
    my @tests = map {
        my $shown = abs_path($_) // $_;
        $shown =~ s{^\Q$build\E/|^\Q$root\E/}{};
        [ $_, $shown ]
    } @programs;
    my $harness = TAP::Harness->new({
        jobs => $jobs,
        merge => 0,
        failures => 1,
        comments => 0,
        exec => sub { [ $^X, __FILE__, '--one', $_[1] ] },
    });
    my $result = $harness->runtests(@tests);
    my ($passed, $failed) = (scalar $result->passed, scalar $result->failed);
    for my $parser ($result->parsers) {
        $failed++ if $parser->has_problems && !$parser->failed;
    }
    if ($ENV{TK_TEST_FUNCTION} && !$passed && !$failed) {
        print "no test function is named so\n";
        $failed = 1;
    }
    print "$passed passed, $failed failed\n";
    return $failed ? 1 : 0;
}

exit main();

#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# timeout: 300
#
# Functions that no code here calls, and functions that have one home: memory
# in src/base/alloc.c, threads, clocks, sleep and chance in src/exec. The
# library does not print, exit or handle signals. Programs, benchmarks, tests
# and the simulator are bound by the first list alone.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

my $never = qr/sprintf|vsprintf|strcpy|strcat|strtok|gets|atoi|atol|atoll|
    alloca|localtime|gmtime|ctime|asctime|rand|srand|tmpnam|mktemp/x;
my $memory = qr/malloc|calloc|realloc|reallocarray|free|strdup|strndup|
    aligned_alloc|posix_memalign|memalign|mallocx|rallocx|xallocx|dallocx|
    sdallocx|asprintf|vasprintf/x;
my $runtime = qr/pthread_\w+|thrd_\w+|mtx_\w+|cnd_\w+|sem_\w+|syscall|futex|
    clock_gettime|clock_nanosleep|clock|gettimeofday|time|timespec_get|
    nanosleep|usleep|sleep|sched_yield|random|srandom|drand48|getrandom|
    getentropy|arc4random|timer_create|setitimer|alarm/x;
my $process = qr/printf|vprintf|fprintf|vfprintf|puts|fputs|putchar|perror|
    exit|_exit|abort|signal|sigaction|atexit|system|popen|fork/x;

sub lists_for {
    my ($file) = @_;
    my @lists = ([ $never, 'never' ]);
    return @lists if $file !~ m{^src/} || $file =~ m{^src/(?:cli|sim)/};
    push @lists, [ $memory, 'only in src/base/alloc.c' ]
        if $file ne 'src/base/alloc.c';
    push @lists, [ $runtime, 'only in src/exec' ] if $file !~ m{^src/exec/};
    push @lists, [ $process, 'not in a library' ];
    return @lists;
}

sub exemptions {
    my ($tree) = @_;
    my $list = "$tree/tests/lint/banned.txt";
    my %exempt;
    for (-f $list ? lines($list) : ()) {
        next if /^#/ || !/\S/;
        my ($file, $function, $reason) = split ' ', $_, 3;
        $exempt{"$file $function"} = defined $reason ? 0 : -1;
    }
    return \%exempt;
}

prove_lint('banned', sub {
    my ($tree) = @_;
    my $exempt = exemptions($tree);
    my @found;
    for my $file (files($tree, qr/\.[ch]$/,
        qw(src perf examples tests include))) {
        my @lists = lists_for($file);
        my $number = 0;
        for my $line (split /\n/, code_of("$tree/$file")) {
            $number++;
            for my $list (@lists) {
                my ($names, $why) = @$list;
                while ($line =~ /(?<![\w>.])($names)\s*\(/g) {
                    my $name = $1;
                    my $key = "$file $name";
                    if (exists $exempt->{$key} && $exempt->{$key} >= 0) {
                        $exempt->{$key}++;
                        next;
                    }
                    push @found, "$file:$number: $name: $why";
                }
            }
        }
    }
    for (sort keys %$exempt) {
        push @found, "tests/lint/banned.txt: $_: exemption without reason"
            if $exempt->{$_} < 0;
        push @found, "tests/lint/banned.txt: $_: exemption without use"
            if $exempt->{$_} == 0;
    }
    return @found;
});
done();

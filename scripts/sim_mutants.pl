#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# sim_mutants.pl BUILD DEPS SEEDS [pattern]: the simulator run on clients with
# a mistake each (tests/sim/mutants), which it has to find. They are built in a
# copy of the tree, in BUILD/mutants, beside one without a mistake, which has
# to pass. A row tells how many of the SEEDS worlds of each workload failed,
# and the seed of the first; a world that crashes or hangs ends its row.
#
# Exit status: 0 when all are found, 1 otherwise, a patch that does not fit the
# code any more included.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Compare qw(compare);
use File::Copy qw(copy);
use File::Find qw(find);
use File::Path qw(make_path);
use FindBin;
use lib "$FindBin::Bin/../tests/sim";
use Mutants;

my ($build, $deps, $seeds, $pattern) = (@ARGV, "");
my $tree = abs_path("$FindBin::Bin/..");
my @workloads = qw(raw bank register append skew death);
my $limit = 600;

$build = abs_path($build);
$deps = abs_path($deps);
my $copy = "$build/mutants";

sub run { system(@_) == 0 or die "$_[0] failed\n" }

# What differs, with the time of now: then make knows what is old.
sub copy_changed {
    my ($part) = @_;
    my %wanted;
    find({ no_chdir => 1, wanted => sub {
        my $path = substr $_, length($tree) + 1;
        return unless -f;
        $wanted{$path} = 1;
        my $to = "$copy/tree/$path";
        return if -f $to && compare($_, $to) == 0;
        make_path(dirname($to));
        copy($_, $to) or die "$to: $!\n";
    } }, "$tree/$part");
    return unless -d "$copy/tree/$part";
    find({ no_chdir => 1, wanted => sub {
        unlink if -f && !$wanted{ substr $_, length("$copy/tree") + 1 };
    } }, "$copy/tree/$part");
}

sub copy_tree {
    make_path("$copy/tree/build", "$copy/bin");
    copy_changed($_)
        for qw(Makefile src include upb_gen tests/sim);
    run('cp', '-a', '-T', "$tree/scripts", "$copy/tree/scripts");
}

sub compile {
    my ($name) = @_;
    my $log = "$copy/$name.log";
    my $status = system("make -C '$copy/tree' BUILD=build DEPS='$deps' -j2 "
        . "WERROR=1 build/check/tikv-sim >'$log' 2>&1");
    return "does not compile, see $log" if $status != 0;
    run('cp', "$copy/tree/build/check/tikv-sim", "$copy/bin/$name");
    return undef;
}

sub put {
    my ($texts) = @_;
    for my $file (keys %$texts) {
        open my $out, '>', "$copy/tree/$file" or die "$file: $!\n";
        print $out $texts->{$file};
        close $out or die "$file: $!\n";
    }
}

# Of the copy, as it is without the mistake.
sub originals {
    my ($texts) = @_;
    return { map { $_ => Mutants::slurp("$copy/tree/$_") } keys %$texts };
}

# Failed worlds by workload, the first of them, how it ended otherwise.
sub simulate {
    my ($name) = @_;
    my (%failed, $first, $last);
    my $command = "timeout $limit '$copy/bin/$name' --seeds $seeds --once "
        . "--json 2>/dev/null";
    open my $in, '-|', $command or die "$name: $!\n";
    while (<$in>) {
        /^\{"seed":(\d+),"workload":"(\w+)","passed":(\w+)/ or next;
        $last = $1;
        next if $3 eq 'true';
        $failed{$2}++;
        $first //= $1;
    }
    close $in;
    my $status = $?;
    my $end = '';
    if ($status != 0 && $status >> 8 != 1) {
        $end = $status >> 8 == 124 ? 'out of time' : 'crash';
        $end .= ' in seed ' . (defined $last ? $last : 1) . ' or the next';
        $first //= $last // 1;
    }
    return (\%failed, $first, $end);
}

sub row {
    my ($name, $failed, $first, $end) = @_;
    printf "%-28s", $name;
    printf " %8s", $failed->{$_} // '.' for @workloads;
    printf " %8s  %s\n", $first // '-', $end;
}

copy_tree();
my $bad = 0;
$| = 1;
print "Worlds of $seeds seeds that failed, by workload; the first seed.\n";
printf "%-28s", 'mutant';
printf " %8s", $_ for @workloads, 'first';
print "\n";
for my $mutant (['none', undef],
    mutants("$copy/tree/tests/sim/mutants")) {
    my ($name, $patch) = @$mutant;
    next if length $pattern && $name !~ /$pattern/;
    my @complaints;
    my $texts = $patch ? mutate("$copy/tree", $patch, \@complaints) : {};
    my $before = originals($texts);
    put($texts) unless @complaints;
    push @complaints, compile($name) // () unless @complaints;
    put($before);
    if (@complaints) {
        $bad++;
        print "$name: $_\n" for @complaints;
        next;
    }
    my ($failed, $first, $end) = simulate($name);
    row($name, $failed, $first, $end);
    my $wrong = $patch ? !defined $first : defined $first;
    if ($wrong) {
        $bad++;
        print $patch ? "    NOT FOUND\n" : "    FAILS WITHOUT A MISTAKE\n";
    }
}
print $bad ? "$bad rows are not as they should be\n" : "all are found\n";
exit($bad ? 1 : 0);

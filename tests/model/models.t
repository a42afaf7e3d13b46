#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The models of this folder hold in every state that can be reached, and each
# mistake that is named in the head of a model is refuted: a model in which
# nothing can go wrong proves nothing. timeout: 300
use strict;
use warnings;
use File::Basename qw(basename dirname);
use File::Spec;
use File::Temp qw(tempdir);

my $folder = File::Spec->rel2abs(dirname(__FILE__));
my @models = sort glob "$folder/*.pml";

if (!grep { -x "$_/spin" } File::Spec->path) {
    print "1..0 # SKIP spin is not installed\n";
    exit 0;
}

# The checker's last words: errors, states, and the whole text.
sub verify {
    my ($model, $mistake) = @_;
    my $work = tempdir(CLEANUP => 1);
    my $define = $mistake ? "-D$mistake" : '';
    my $text = `cd '$work' && spin $define -a '$model' 2>&1 &&
        \${CC:-cc} -O0 -w -DSAFETY -o pan pan.c 2>&1 && ./pan -m400000 2>&1`;
    my ($errors) = $text =~ /errors: (\d+)/;
    my ($states) = $text =~ /^\s*(\d+) states, stored$/m;
    my $whole = defined $errors && $text !~ /search depth too small|out of memory/;
    return ($whole ? $errors : -1, $states // 0, $text);
}

my $count = 0;
sub told {
    my ($ok, $what, $text) = @_;
    $count++;
    print $ok ? "ok $count - $what\n" : "not ok $count - $what\n";
    print map { "# $_\n" } split /\n/, $text if !$ok;
}

for my $model (@models) {
    my $name = basename($model, '.pml');
    open my $in, '<', $model or die "$model: $!\n";
    my ($head) = do { local $/; <$in> } =~ m{\A(.*?)mtype}s;
    my @mistakes = $head =~ /^ \*   ([A-Z][A-Z_]+) /mg;

    my ($errors, $states, $text) = verify($model, '');
    told($errors == 0, "$name holds in $states states", $text);
    told(@mistakes > 0, "$name names mistakes", '');
    for my $mistake (@mistakes) {
        ($errors, $states, $text) = verify($model, $mistake);
        told($errors > 0, "$name refutes $mistake", $text);
    }
}
print "1..$count\n";

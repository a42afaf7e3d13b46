# SPDX-License-Identifier: Apache-2.0
#
# What the lints share. A lint is a function from a folder to a list of
# violations ("file:line: what"). It runs twice: over the tree, where it must
# find nothing, and over tests/lint/bad/<lint>, a tiny tree of its own kind of
# sin, where it must find exactly what the file `expect` there lists.
package Lint;
use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Find qw(find);

our @EXPORT = qw(root files lines slurp code_of ok done prove_lint);

my $root = abs_path(dirname(__FILE__) . '/../..');
my $count = 0;

sub root { return $root }

# Files below the given folders of a tree whose names match; the sins of
# tests/lint/bad are not part of the tree.
sub files {
    my ($tree, $pattern, @folders) = @_;
    my @found;
    for my $folder (grep { -d "$tree/$_" } @folders) {
        find({
            no_chdir => 1,
            wanted => sub {
                my $path = substr $_, length($tree) + 1;
                return if $path =~ m{^tests/lint/bad/};
                push @found, $path if -f && $path =~ $pattern;
            },
        }, "$tree/$folder");
    }
    my %seen;
    return sort grep { !$seen{$_}++ } @found;
}

sub slurp {
    my ($path) = @_;
    open my $in, '<', $path or die "$path: $!\n";
    local $/;
    my $text = <$in>;
    return $text // '';
}

sub lines {
    my ($path) = @_;
    return split /\n/, slurp($path), -1;
}

# The code of a C file with comments, and texts between quotes, blanked out;
# lines stay where they are. Includes keep their names on request.
sub code_of {
    my ($path, $keep_quotes) = @_;
    my $text = slurp($path);
    $text =~ s{(/\*.*?\*/)|(//[^\n]*)|("(?:[^"\\\n]|\\.)*")|('(?:[^'\\\n]|\\.)*')}
              {blank($1, $2, $3, $4, $keep_quotes)}ges;
    return $text;
}

sub blank {
    my ($long, $short, $quoted, $letter, $keep) = @_;
    return $quoted if defined $quoted && $keep;
    return '""' if defined $quoted;
    return "' '" if defined $letter;
    my $gone = $long // $short;
    $gone =~ s/[^\n]/ /g;
    return $gone;
}

sub ok {
    my ($good, $name, @details) = @_;
    $count++;
    print $good ? "ok $count - $name\n" : "not ok $count - $name\n";
    if (!$good) {
        my $more = @details - 40;
        splice @details, 40 if $more > 0;
        push @details, "... and $more more" if $more > 0;
        print STDERR "$_\n" for @details;
    }
    return $good;
}

sub done {
    print "1..$count\n";
    exit 0;
}

sub prove_lint {
    my ($name, $lint) = @_;
    my @found = $lint->($root);
    ok(!@found, "$name: the tree is clean", @found);

    my $bad = "$root/tests/lint/bad/$name";
    my @expected = grep { length } lines("$bad/expect");
    my @seen = $lint->($bad);
    my $same = join("\n", sort @seen) eq join("\n", sort @expected);
    ok($same && scalar(@expected), "$name: finds what is wrong",
        "expected:", @expected, "found:", @seen);
    return;
}

1;

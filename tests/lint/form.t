#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# timeout: 300
#
# Form that no compiler asks for: a licence line in every file, functions of
# at most 60 lines, files of at most 700, lines of at most 80 columns, no
# tabs, no comments to the end of the line, nothing left for later.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

my $function_limit = 60;
my $file_limit = 700;
my @everywhere = qw(src include perf examples tests scripts upb_gen);
my $later = join '|', map { "\\b$_\\b" } 'TO' . 'DO', 'FIX' . 'ME', 'XX' . 'X';

sub licence {
    my ($tree) = @_;
    my @found;
    for my $file (files($tree, qr/\.(?:[ch]|def|proto|pl|pm|t|sh|in)$/,
        @everywhere)) {
        next if $file =~ /\.upb\.[ch]$|\.pc\.in$/;
        my @head = lines("$tree/$file");
        splice @head, 3 if @head > 3;
        push @found, "$file:1: no licence line"
            unless grep { /SPDX-License-Identifier: Apache-2\.0/ } @head;
    }
    return @found;
}

# A function is what stands between a brace in the first column and the next
# closing one there, if its head looks like one.
sub functions {
    my ($file, @code) = @_;
    my ($open, $name, $last, @found);
    for my $at (0 .. $#code) {
        $last = $1 if $code[$at] =~ /^(\w+)\(/;
        if ($code[$at] =~ /^\{/) {
            ($open, $name) = ($at, $last);
        } elsif ($code[$at] =~ /^\}/ && defined $open) {
            my $length = $at - $open + 1;
            push @found, sprintf '%s:%d: %s has %d lines', $file, $open + 1,
                $name // '?', $length
                if $length > $function_limit && ($name // '') ne 'main';
            undef $open;
        }
    }
    return @found;
}

sub form {
    my ($tree) = @_;
    my @found;
    for my $file (files($tree, qr/\.[ch]$/, @everywhere)) {
        next if $file =~ /\.upb\.[ch]$/;
        my @text = lines("$tree/$file");
        my @code = split /\n/, code_of("$tree/$file", 1), -1;
        pop @text if @text && $text[-1] eq '';
        push @found, sprintf '%s:%d: more than %d lines', $file,
            scalar @text, $file_limit if @text > $file_limit;
        push @found, functions($file, @code) if $file =~ /\.c$/;
        for my $at (0 .. $#text) {
            my $place = $file . ':' . ($at + 1);
            my $wide = $text[$at];
            utf8::decode($wide);
            push @found, "$place: tab" if $text[$at] =~ /\t/;
            push @found, "$place: space at the end" if $text[$at] =~ /\s$/;
            push @found, "$place: wider than 80" if length $wide > 80;
            push @found, "$place: left for later" if $text[$at] =~ /$later/;
            push @found, "$place: comment to the end of the line"
                if $text[$at] =~ m{//} && $code[$at] !~ m{//}
                && $text[$at] =~ m{^[^"]*(?<![:*])//}
                && $text[$at] !~ m{/\*.*//|^\s*\*};
        }
    }
    return @found;
}

prove_lint('licence', \&licence);
prove_lint('form', \&form);
done();

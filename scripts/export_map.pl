#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# export_map.pl NODE STEM HEADER...: from the TIKV_API declarations of the
# headers writes STEM.map, a linker version script with one node, and
# STEM.syms, the same names one a line.
use strict;
use warnings;

my ($node, $stem, @headers) = @ARGV;
my %names;
for my $header (@headers) {
    open my $in, '<', $header or die "$header: $!\n";
    local $/;
    my $text = <$in>;
    $text =~ s{/\*.*?\*/}{}gs;
    $text =~ s{^[ \t]*#(?:[^\n]*\\\n)*[^\n]*$}{}gm;
    $names{$1} = 1 while $text =~ /\bTIKV_API\b[^;{}]*?\b(tikv_\w+)\s*\(/g;
}
my @names = sort keys %names;

sub store {
    my ($file, $text) = @_;
    open my $out, '>', "$file.new" or die "$file: $!\n";
    print $out $text;
    close $out or die "$file: $!\n";
    rename "$file.new", $file or die "$file: $!\n";
}

my $global = @names ? '    global:' . join('', map { "\n        $_;" } @names) : '';
store("$stem.map", "$node {\n$global\n    local:\n        *;\n};\n");
store("$stem.syms", join '', map { "$_\n" } @names);

#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# timeout: 300
#
# The libraries export what the headers declare, no more and no less: the
# shared ones under their version node, the static ones as global names.
use strict;
use warnings;
use File::Temp qw(tempdir);
use FindBin;
use lib $FindBin::Bin;
use Lint;

my $release = ($ENV{TK_BUILD} // root() . '/build') . '/release';

sub declared {
    my ($stem, @headers) = @_;
    system($^X, root() . '/scripts/export_map.pl', 'TIKV_0', $stem,
        @headers) == 0 or die "export_map.pl failed\n";
    return grep { length } lines("$stem.syms");
}

sub defined_in {
    my ($library) = @_;
    my @options = $library =~ /\.a$/ ? ('-g') : ('-D');
    open my $nm, '-|', 'nm', '-P', '--defined-only', @options, $library
        or die "nm: $!\n";
    my %names;
    while (<$nm>) {
        my ($name, $type) = split ' ';
        next unless defined $type && $type =~ /^[A-Z]$/ && $type ne 'A';
        $name =~ s/@.*//;
        $names{$name} = 1;
    }
    close $nm or return ('(unreadable)');
    return sort keys %names;
}

sub compare {
    my ($library, $declared, $defined) = @_;
    my %declared = map { $_ => 1 } @$declared;
    my %defined = map { $_ => 1 } @$defined;
    my $short = $library =~ s{.*/}{}r;
    return (map({ "$short: declared and not there: $_" }
            grep { !$defined{$_} } sort keys %declared),
        map({ "$short: there and not declared: $_" }
            grep { !$declared{$_} } sort keys %defined));
}

my $folder = tempdir(CLEANUP => 1);
my @headers = map { root() . "/$_" } files(root(), qr/\.h$/, 'include');
my %headers_of = (
    libtikv => [ grep { !m{/cluster\.h$} } @headers ],
    libtikvcluster => [ grep { m{/cluster\.h$} } @headers ],
);
for my $name (sort keys %headers_of) {
    my @names = @{ $headers_of{$name} }
        ? declared("$folder/$name", @{ $headers_of{$name} }) : ();
    for my $library ("$release/$name.so", "$release/$name.a") {
        my @wrong = -e $library
            ? compare($library, \@names, [ defined_in($library) ])
            : ("$library is not built");
        ok(!@wrong, "exports: $name" . ($library =~ /(\.\w+)$/)[0], @wrong);
    }
}

my $bad = root() . '/tests/lint/bad/exports';
my @names = declared("$folder/bad", "$bad/a.h");
system('cc', '-shared', '-fPIC', '-o', "$folder/bad.so", "$bad/a.c") == 0
    or die "cannot build the self-test\n";
my @wrong = compare("$folder/bad.so", \@names,
    [ grep { /tikv|secret/ } defined_in("$folder/bad.so") ]);
ok(join("\n", @wrong) eq join("\n",
        'bad.so: declared and not there: tikv_missing',
        'bad.so: there and not declared: secret'),
    'exports: finds what is wrong', @wrong);
done();

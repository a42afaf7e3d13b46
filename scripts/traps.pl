#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# traps.pl [--write] [NUMBER...]: makes each mistake of tests/cluster/traps.txt
# in a copy of the tree, runs the conformance cases, by the direct way, and
# tells which fail. A mistake that no case, or not every case named there,
# notices is an error. --write names what failed, the first few cases of it,
# in the list itself.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path);

my $root = abs_path(dirname(__FILE__) . '/..');
my $list = "$root/tests/cluster/traps.txt";
my $copy = ($ENV{BUILD} // "$root/build") . '/traps';
my $program = 'build/check/tests/cluster/conformance_test';
my $named_max = 6;

sub content {
    my ($file) = @_;
    open my $in, '<', $file or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}

sub store {
    my ($file, $text) = @_;
    open my $out, '>', $file or die "$file: $!\n";
    print {$out} $text;
    close $out or die "$file: $!\n";
}

sub read_traps {
    my @traps;
    for my $part (split /\n\n+/, content($list)) {
        my @lines = grep { !/^#/ } split /\n/, $part;
        next unless @lines;
        my ($number, $text) = split ' ', shift @lines, 2;
        my $file = shift @lines;
        my (@old, @new, $cases);
        for (@lines) {
            if (/^<\s?(.*)/) { push @old, $1 }
            elsif (/^>\s?(.*)/) { push @new, $1 }
            elsif (/^=\s*(.*)/) { $cases = $1 }
            else { die "trap $number: $_\n" }
        }
        push @traps, { number => $number, text => $text, file => $file,
            old => \@old, new => \@new, cases => $cases };
    }
    return @traps;
}

# Only what differs is written, so that what was built stays.
sub make_copy {
    make_path("$copy/build");
    my %known;
    for my $file (split /\0/, qx(cd '$root' && git ls-files -z)) {
        next unless -f "$root/$file" && !-l "$root/$file";
        $known{$file} = 1;
        my $text = content("$root/$file");
        next if -f "$copy/$file" && content("$copy/$file") eq $text;
        make_path(dirname("$copy/$file"));
        store("$copy/$file", $text);
        chmod 0755, "$copy/$file" if -x "$root/$file";
    }
    for my $file (split /\n/, qx(cd '$copy' && find src tests -type f)) {
        unlink "$copy/$file" unless $known{$file};
    }
    symlink abs_path("$root/build/deps"), "$copy/build/deps"
        unless -e "$copy/build/deps";
}

# The failed cases, each once; what else went wrong as a text.
sub run_cases {
    my $built = system("make -C '$copy' -j2 $program >$copy/make.log 2>&1");
    return (undef, "does not build, see $copy/make.log") if $built != 0;
    my (@failed, %seen);
    open my $in, '-|', "cd '$copy' && CMOCKA_MESSAGE_OUTPUT=TAP "
        . "TK_TEST_FUNCTION='* direct' timeout 120 $program 2>/dev/null" or die;
    while (<$in>) {
        push @failed, $1 if /^not ok \d+ - (\w\w\d\d) / && !$seen{$1}++;
    }
    close $in;
    push @failed, 'abort' if !@failed && $? != 0;
    return (\@failed, undef);
}

sub spring {
    my ($trap) = @_;
    my $file = "$copy/$trap->{file}";
    my $good = content($file);
    my $old = join '\s*\n\s*', map { quotemeta } @{ $trap->{old} };
    my @hits = $good =~ /$old/g;
    return (undef, scalar(@hits) . ' places have the code') if @hits != 1;
    my $new = join "\n", @{ $trap->{new} };
    (my $bad = $good) =~ s/$old/$new/;
    store($file, $bad);
    my ($failed, $wrong) = run_cases();
    store($file, $good);
    return ($failed, $wrong);
}

sub name_cases {
    my ($number, @cases) = @_;
    my $text = content($list);
    splice @cases, $named_max if @cases > $named_max;
    $text =~ s/^(\Q$number\E .*?\n= )[^\n]*/$1@cases/ms;
    store($list, $text);
}

my $writes = @ARGV && $ARGV[0] eq '--write' ? shift @ARGV : '';
my %wanted = map { $_ => 1 } @ARGV;
my $bad = 0;
make_copy();
$| = 1;
for my $trap (read_traps()) {
    my $number = $trap->{number};
    next if %wanted && !$wanted{$number} && !$wanted{ $number =~ s/\D//r };
    my ($failed, $wrong) = spring($trap);
    my %failed = map { $_ => 1 } @{ $failed // [] };
    my @missed = $writes ? () : grep { !$failed{$_} } split ' ',
        $trap->{cases};
    $wrong //= 'no case fails' unless %failed;
    $wrong //= "not by @missed" if @missed;
    $bad++ if defined $wrong;
    printf "%-4s %s\n", $number, $wrong // join ' ', @{$failed};
    name_cases($number, @{$failed}) if $writes && !defined $wrong;
}
print $bad ? "$bad traps are not noticed as told\n" : "every trap is noticed\n";
exit($bad ? 1 : 0);

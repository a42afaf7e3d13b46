#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# timeout: 300
#
# Every public header compiles alone, without a warning, as C99, C11 and
# C++11, with gcc and, where it is installed, clang.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

sub installed { return system("command -v $_[0] >/dev/null 2>&1") == 0 }

sub first_installed {
    for (@_) {
        return $_ if installed($_);
    }
    return;
}

my $strict = '-pedantic -Wall -Wextra -Wconversion -Wundef -Werror';
my $strict_c = "$strict -Wstrict-prototypes -Wmissing-prototypes";
my @ways;
for my $compiler (grep { defined } first_installed('gcc', 'cc'),
    first_installed('clang', 'clang-14')) {
    push @ways, [ "$compiler C99", "$compiler -x c -std=c99 $strict_c" ],
        [ "$compiler C11", "$compiler -x c -std=c11 $strict_c" ],
        [ "$compiler C++11", "$compiler -x c++ -std=c++11 $strict" ];
}

sub refused {
    my ($tree, $header, $command) = @_;
    my $name = $header =~ s{^include/}{}r;
    my $pid = open my $to, '|-', "$command -I'$tree/include' -I'"
        . root() . "/include' -fsyntax-only - 2>/dev/null"
        or die "cannot run $command\n";
    print $to "#include <$name>\n#include <$name>\ntypedef int tk_used;\n";
    return !close $to;
}

prove_lint('headers', sub {
    my ($tree) = @_;
    my @found;
    for my $header (files($tree, qr/\.h$/, 'include')) {
        for my $way (@ways) {
            my ($what, $command) = @$way;
            push @found, "$header:1: refused as $what"
                if refused($tree, $header, $command);
        }
    }
    # The self-test cannot know which compilers are there.
    return $tree eq root() ? @found : grep { /gcc/ } @found;
});
done();

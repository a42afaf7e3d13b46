#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# timeout: 300
#
# `make deps` derives its source list from whatever form the machine's own
# lists have: Debian's suites with their keys, nobody else's, nothing that is
# switched off.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

my $folder = root() . '/tests/lint/bad/deb_src';
my $program = root() . '/scripts/deb_src.pl';
my $found = `perl '$program' bookworm '$folder/b.list' '$folder/a.sources'`;
ok($found eq slurp("$folder/expect"), 'deb_src: both formats', $found);

$found = `perl '$program' trixie '$folder/b.list' '$folder/a.sources'`;
ok($found eq '', 'deb_src: another release is not ours', $found);
done();

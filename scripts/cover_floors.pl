#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# cover_floors.pl SUMMARY.json FLOORS: line coverage per room, and failure
# where a room is below its floor. FLOORS has lines "room percent".
use strict;
use warnings;
use JSON::PP qw(decode_json);

my ($summary, $floors) = @ARGV;
open my $in, '<', $summary or die "$summary: $!\n";
my $report = decode_json(do { local $/; <$in> });
close $in;

my (%lines, %covered, %floor);
for my $file (@{ $report->{files} }) {
    my ($room) = $file->{filename} =~ m{src/(.+)/[^/]+$} or next;
    $lines{$room} += $file->{line_total};
    $covered{$room} += $file->{line_covered};
}
if (open my $list, '<', $floors) {
    while (<$list>) {
        $floor{$1} = $2 if /^([a-z][a-z\/]*)\s+(\d+)/;
    }
}
my $below = 0;
for my $room (sort keys %lines) {
    my $percent = $lines{$room} ? 100 * $covered{$room} / $lines{$room} : 100;
    my $wanted = $floor{$room} // 0;
    my $bad = $percent < $wanted;
    $below++ if $bad;
    printf "%-14s %6.1f %%  floor %d%s\n", $room, $percent, $wanted,
        $bad ? '  BELOW' : '';
}
exit $below ? 1 : 0;

#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# timeout: 300
#
# Rooms include only downward, as rooms.txt lists; gRPC and the generated
# messages are seen only where it says so; includes name their room.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;

my (%may, @rooms);
for (lines("$FindBin::Bin/rooms.txt")) {
    next if /^#/ || !/^(\S+):\s*(.*)$/;
    $may{$1} = { map { $_ => 1 } split ' ', $2 };
    push @rooms, $1 unless $1 =~ /^</;
}
@rooms = sort { length $b <=> length $a } @rooms;

sub room_of {
    my ($path) = @_;
    for (@rooms) {
        return $_ if index($path, "$_/") == 0;
    }
    return;
}

sub wrong_include {
    my ($room, $quote, $name) = @_;
    return if $name =~ m{^tikv/};
    if ($name =~ m{^grpc}) {
        return $may{'<grpc>'}{$room} ? () : "gRPC header $name";
    }
    if ($name =~ m{\.upb\.h$|^upb/}) {
        return $may{'<upb>'}{$room} ? () : "message header $name";
    }
    return if $quote eq '<';
    my $other = room_of($name);
    if (!defined $other) {
        return if $room eq 'cli' && $name !~ m{/};
        return "include without a room: $name";
    }
    return if $other eq $room || $may{$room}{$other};
    return "$room may not include $name";
}

prove_lint('rooms', sub {
    my ($tree) = @_;
    my @found;
    for my $file (files($tree, qr/\.(?:[ch]|def|inc)$/, 'src')) {
        my $room = room_of(substr $file, 4);
        if (!defined $room) {
            push @found, "$file:1: in no room";
            next;
        }
        my $number = 0;
        for (split /\n/, code_of("$tree/$file", 1)) {
            $number++;
            next unless /^\s*#\s*include\s*([<"])([^>"]+)[>"]/;
            my ($what) = wrong_include($room, $1, $2);
            push @found, "$file:$number: $what" if $what;
        }
    }
    return @found;
});
done();

#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# deb_src.pl CODENAME FILE...: the deb lines of Debian's own suites among apt's
# source lists, in both formats, written as deb-src lines. A mirror keeps its
# options (signed-by, trusted); other people's archives are left out, since
# their suite or component has another name.
use strict;
use warnings;

my $codename = shift @ARGV;
my $name = quotemeta $codename;
my $suite = qr{^(?:$name|stable|oldstable)
    (?:-updates|-security|-proposed-updates|/updates)?$}x;
my %seen;

sub emit {
    my ($options, $uri, $in, @components) = @_;
    return unless $in =~ $suite && grep { $_ eq 'main' } @components;
    my $line = join ' ', 'deb-src', ($options ? "[$options]" : ()), $uri, $in,
        'main';
    print "$line\n" unless $seen{$line}++;
}

sub one_line {
    for (@_) {
        next unless /^\s*deb(?:-src)?\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+
            ([^#]*)/x;
        my ($options, $uri, $in, $rest) = ($1 // '', $2, $3, $4);
        my @kept = grep { /^(signed-by|trusted)=/i } split ' ', $options;
        emit("@kept", $uri, $in, split ' ', $rest);
    }
}

sub deb822 {
    for my $stanza (split /\n(?:[ \t]*\n)+/, join '', grep { !/^#/ } @_) {
        my (%field, $last);
        for (split /\n/, $stanza) {
            if (/^([A-Za-z-]+):\s*(.*)$/) {
                $last = lc $1;
                $field{$last} = $2;
            } elsif (/^\s+(\S.*)$/ && defined $last) {
                $field{$last} .= "\n$1";
            }
        }
        next unless defined $field{uris} && defined $field{suites};
        next if ($field{enabled} // 'yes') =~ /^(no|false|off|0)$/i;
        my $key = $field{'signed-by'} // '';
        next if $key =~ /BEGIN PGP/;
        my @kept = $key =~ /\S/ ? 'signed-by=' . join ',', split ' ', $key : ();
        push @kept, "trusted=$field{trusted}" if $field{trusted};
        for my $uri (split ' ', $field{uris}) {
            emit("@kept", $uri, $_, split ' ', $field{components} // '')
                for split ' ', $field{suites};
        }
    }
}

for my $file (@ARGV) {
    open my $in, '<', $file or next;
    my @lines = <$in>;
    close $in;
    $file =~ /\.sources$/ ? deb822(@lines) : one_line(@lines);
}

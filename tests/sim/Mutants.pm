# SPDX-License-Identifier: Apache-2.0
#
# tests/sim/mutants/NAME.patch: why it is a mistake, an empty line, and a
# patch. Where a hunk goes is found by its lines, not by their numbers: the old
# ones, context included, have to be in the file exactly once. So a mutant
# follows the code as long as the code is there, and fails loudly after that.
package Mutants;
use strict;
use warnings;
use Exporter qw(import);

our @EXPORT = qw(mutants mutate);

sub slurp {
    my ($path) = @_;
    open my $in, '<', $path or die "$path: $!\n";
    local $/;
    return <$in> // '';
}

# (name, path of the patch), in order.
sub mutants {
    my ($folder) = @_;
    return map { m{([^/]+)\.patch$} ? [$1, $_] : () }
        sort glob "$folder/*.patch";
}

# The hunks: [file, old text, new text, line of the patch].
sub hunks {
    my ($path) = @_;
    my (@hunks, $file);
    my $number = 0;
    for (split /\n/, slurp($path), -1) {
        $number++;
        if (m{^\+\+\+ b/(\S+)}) {
            $file = $1;
        } elsif (/^@@ /) {
            push @hunks, [$file, '', '', $number];
        } elsif (@hunks && /^([ +-]|$)(.*)/ && !/^--- a\//) {
            my $text = "$2\n";
            next if $1 eq '' && $_ eq '';
            $hunks[-1][1] .= $text if $1 ne '+';
            $hunks[-1][2] .= $text if $1 ne '-';
        }
    }
    return @hunks;
}

# What the patch makes of the tree: file -> text. Complaints go to @$bad.
sub mutate {
    my ($tree, $path, $bad) = @_;
    my (%texts, $count);
    for my $hunk (hunks($path)) {
        my ($file, $old, $new, $line) = @$hunk;
        $count++;
        if (!defined $file || !-f "$tree/$file") {
            push @$bad, "$path:$line: no such file";
            next;
        }
        $texts{$file} //= slurp("$tree/$file");
        my $times = () = $texts{$file} =~ /\Q$old\E/g;
        if ($times != 1) {
            push @$bad, "$path:$line: its lines are $times times in $file";
            next;
        }
        $texts{$file} =~ s/\Q$old\E/$new/;
    }
    push @$bad, "$path:1: no hunk" unless $count;
    return \%texts;
}

1;

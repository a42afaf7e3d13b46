#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# timeout: 300
#
# What protoc makes of upb_gen/proto is, both ways, what tests/wire-facts.tsv
# says: messages, fields with number, type, label and oneof, reserved numbers,
# enum values, methods. And the committed C in upb_gen has the same field
# numbers. Descriptors are decoded here, by the few rules of the format.
use strict;
use warnings;
use File::Temp qw(tempdir);
use FindBin;
use lib $FindBin::Bin;
use Lint;

my @type_names = ('', qw(double float int64 uint64 int32 fixed64 fixed32 bool
    string group message bytes uint32 enum sfixed32 sfixed64 sint32 sint64));
my @label_names = ('', qw(optional required repeated));

sub varint {
    my ($bytes, $at) = @_;
    my ($value, $shift) = (0, 0);
    while (1) {
        my $byte = ord substr $$bytes, $$at++, 1;
        $value |= ($byte & 0x7f) << $shift;
        return $value if $byte < 0x80;
        $shift += 7;
    }
}

# A message as field number -> list of values; texts and messages are bytes.
sub decode {
    my ($bytes) = @_;
    my ($at, %field) = (0);
    while ($at < length $bytes) {
        my $tag = varint(\$bytes, \$at);
        my ($number, $kind) = ($tag >> 3, $tag & 7);
        if ($kind == 0) {
            push @{ $field{$number} }, varint(\$bytes, \$at);
        } elsif ($kind == 2) {
            my $length = varint(\$bytes, \$at);
            push @{ $field{$number} }, substr $bytes, $at, $length;
            $at += $length;
        } else {
            $at += $kind == 1 ? 8 : 4;
        }
    }
    return \%field;
}

sub one { return $_[0]{ $_[1] } ? $_[0]{ $_[1] }[0] : $_[2] }
sub all { return map { decode($_) } @{ $_[0]{ $_[1] } // [] } }

sub type_of {
    my ($field) = @_;
    my $name = one($field, 6, '');
    $name =~ s/^\.//;
    return $name ne '' ? $name : $type_names[ one($field, 5, 0) ];
}

sub fact { return join "\t", @_ }

sub enum_facts {
    my ($enum, $scope) = @_;
    my $full = "$scope." . one($enum, 1);
    return map { fact('enum', $full, one($_, 1), one($_, 2, 0), '', '', '') }
        all($enum, 2);
}

sub field_fact {
    my ($field, $full, $oneofs, $syntax) = @_;
    my @notes;
    my $options = decode(one($field, 8, ''));
    push @notes, 'oneof ' . one($oneofs->[ $field->{9}[0] ], 1)
        if $field->{9} && !one($field, 17, 0);
    push @notes, 'deprecated' if one($options, 3, 0);
    push @notes, 'explicit presence' if one($field, 17, 0);
    push @notes, 'packed ' . one($options, 2) if defined one($options, 2);
    return fact('field', $full, one($field, 1), one($field, 3),
        $label_names[ one($field, 4, 0) ], type_of($field), "@notes");
}

sub message_facts {
    my ($message, $scope) = @_;
    my $full = "$scope." . one($message, 1);
    my $is_map = one(decode(one($message, 7, '')), 7, 0);
    my @oneofs = all($message, 8);
    my @facts = fact($is_map ? 'map-entry' : 'message', $full, ('') x 5);
    push @facts, fact('reserved', $full, '',
        one($_, 1) . '-' . (one($_, 2) - 1), '', '', '') for all($message, 9);
    push @facts, field_fact($_, $full, \@oneofs) for all($message, 2);
    push @facts, message_facts($_, $full) for all($message, 3);
    push @facts, enum_facts($_, $full) for all($message, 4);
    return @facts;
}

sub service_facts {
    my ($service, $scope) = @_;
    my $full = "$scope." . one($service, 1);
    return map {
        my ($in, $out) = map { s/^\.//r } one($_, 2), one($_, 3);
        my $streams = join ' ', one($_, 5, 0) ? 'client-stream' : (),
            one($_, 6, 0) ? 'server-stream' : ();
        fact('rpc', $full, one($_, 1), '', $streams, "$in -> $out",
            one(decode(one($_, 4, '')), 33, 0) ? 'deprecated' : '');
    } all($service, 2);
}

sub descriptor_facts {
    my ($folder) = @_;
    my $out = tempdir(CLEANUP => 1) . '/set';
    my @files = sort glob "$folder/*.proto";
    system('protoc', "-I$folder", "--descriptor_set_out=$out", @files) == 0
        or return ("(protoc refuses $folder)");
    my @facts;
    for my $file (all(decode(slurp($out)), 1)) {
        my $package = one($file, 2, '');
        push @facts, fact('syntax', one($file, 1), one($file, 12, 'proto2'))
            if one($file, 12, 'proto2') ne 'proto3';
        push @facts, map { message_facts($_, $package) } all($file, 4);
        push @facts, map { enum_facts($_, $package) } all($file, 5);
        push @facts, map { service_facts($_, $package) } all($file, 6);
    }
    return @facts;
}

sub difference {
    my ($wanted, $there) = @_;
    my %wanted = map { $_ => 1 } @$wanted;
    my %there = map { $_ => 1 } @$there;
    return (map({ "missing: $_" } grep { !$there{$_} } sort keys %wanted),
        map({ "unknown: $_" } grep { !$wanted{$_} } sort keys %there));
}

sub table_of {
    my ($file) = @_;
    return grep { length && !/^#/ } lines($file);
}

# Field numbers in the generated tables, by the message's name in C.
sub generated_numbers {
    my %numbers;
    for my $file (glob root() . '/upb_gen/*.upb.c') {
        my $name;
        for (lines($file)) {
            $name = $1 if /^static const upb_MiniTable_Field (\w+)__fields\[/;
            $numbers{$name} .= " $1" if defined $name && /^  \{(\d+), /;
            undef $name if /^\};/;
        }
    }
    return map { "$_$numbers{$_}" } keys %numbers;
}

sub told_numbers {
    my %numbers;
    for (@_) {
        my ($kind, $full, undef, $number) = split /\t/;
        push @{ $numbers{ $full =~ tr/./_/r } }, $number if $kind eq 'field';
    }
    return map { join ' ', $_, sort { $a <=> $b } @{ $numbers{$_} } }
        keys %numbers;
}

my @table = table_of(root() . '/tests/wire-facts.tsv');
my @wrong = difference(\@table, [ descriptor_facts(root() . '/upb_gen/proto') ]);
ok(!@wrong && @table > 1000, 'wire facts: upb_gen/proto says all and no more',
    @wrong);

@wrong = difference([ told_numbers(@table) ], [ generated_numbers() ]);
ok(!@wrong, 'wire facts: the generated tables have the same numbers', @wrong);

my $bad = root() . '/tests/lint/bad/wire_facts';
@wrong = difference([ table_of("$bad/facts.tsv") ], [ descriptor_facts($bad) ]);
my $same = join("\n", @wrong) eq join("\n", grep { length } lines("$bad/expect"));
ok($same, 'wire facts: finds what is wrong', @wrong);
done();

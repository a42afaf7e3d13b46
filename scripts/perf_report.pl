#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# perf_report.pl FOLDER: what scripts/perf.sh measured, as FOLDER/report.md
# and FOLDER/report.svg. Medians of the clean rounds; ratios are taken within
# each round, then their median.
use strict;
use warnings;
use JSON::PP qw(decode_json);

my $folder = shift or die "usage: perf_report.pl FOLDER\n";

sub lines_of {
    my ($file) = @_;
    open my $in, '<', $file or return;
    chomp(my @lines = <$in>);
    return @lines;
}

sub median {
    my @sorted = sort { $a <=> $b } grep { defined } @_;
    return undef unless @sorted;
    my $half = int(@sorted / 2);
    return @sorted % 2 ? $sorted[$half]
        : ($sorted[$half - 1] + $sorted[$half]) / 2;
}

my %setup = map { /^(\w+) (.*)/ } lines_of("$folder/setup");
my @rounds = 1 .. $setup{rounds};
my $most = $setup{most}; # ticks stolen from a clean row

my (@floors, %floor, @cells);
for my $round (@rounds) {
    for my $row (map { decode_json($_) } lines_of("$folder/floor-$round.json")) {
        push @floors, $row->{floor} unless $floor{ $row->{floor} };
        $floor{ $row->{floor} }[$round] = $row;
    }
}
for (lines_of("$folder/cells")) {
    my ($name, $floor, $arguments) = split /\|/;
    my %cell = (name => $name, floor => $floor, arguments => $arguments);
    for my $round (@rounds) {
        my ($line) = lines_of("$folder/$name-$round.json");
        $cell{rows}[$round] = decode_json($line) if defined $line;
    }
    push @cells, \%cell;
}

# Clean rounds of a list of rows; all of them when none is clean.
sub clean {
    my ($rows) = @_;
    my @there = grep { $rows->[$_] } @rounds;
    my @clean = grep { $rows->[$_]{steal_ticks} <= $most } @there;
    return @clean ? @clean : @there;
}

sub of {
    my ($rows, $figure) = @_;
    return median(map { $rows->[$_]{$figure} } clean($rows));
}

# The cell's figure to the floor's, within a round. Rates and costs are those
# of a key, which is an operation where there is no batch.
sub ratio {
    my ($cell, $figure) = @_;
    my $floor = $floor{ $cell->{floor} } or return undef;
    return median(map {
        my $row = $cell->{rows}[$_];
        my $below = $floor->[$_] ? $floor->[$_]{$figure} : 0;
        my $weight = $figure eq 'ops_per_s' ? $row->{keys_per_op}
            : $figure eq 'cpu_us_per_op' ? 1 / $row->{keys_per_op} : 1;
        $below ? $row->{$figure} * $weight / $below : undef;
    } clean($cell->{rows}));
}

sub show {
    my ($number, $format) = @_;
    return defined $number ? sprintf($format, $number) : '-';
}

sub count_of {
    my ($number) = @_;
    my $text = show($number, '%.0f');
    1 while $text =~ s/^(\d+)(\d{3})/$1,$2/;
    return $text;
}

sub range {
    my ($rows, $figure) = @_;
    my @sorted = sort { $a <=> $b } map { $rows->[$_]{$figure} } clean($rows);
    return '-' unless @sorted;
    return sprintf '%.3g-%.3g', $sorted[0], $sorted[-1];
}

sub stolen {
    my ($rows) = @_;
    my @there = grep { $rows->[$_] } @rounds;
    my $bad = grep { $rows->[$_]{steal_ticks} > $most } @there;
    my $sum = 0;
    $sum += $rows->[$_]{steal_ticks} for @there;
    return $bad ? "$sum ($bad not clean)" : $sum;
}

# ---- goals: each with the cell it is about and how it is read ----

sub cell_named {
    my ($name) = @_;
    my ($cell) = grep { $_->{name} eq $name && @{ $_->{rows} // [] } } @cells;
    return $cell;
}

my $stream = 'C core stream, 100 B x 1';
my @goals = (
    [ 'get-futures', 'client CPU us/op', '<=', 0.7,
        sub { of($_[0]{rows}, 'cpu_us_per_op') } ],
    [ 'get-futures', 'ops/s', '>=', 1_200_000,
        sub { of($_[0]{rows}, 'ops_per_s') } ],
    [ 'get-futures-3-stores', 'client CPU us/op', '<=', 1.0,
        sub { of($_[0]{rows}, 'cpu_us_per_op') } ],
    [ 'get-futures-3-stores', 'ops/s', '>=', 700_000,
        sub { of($_[0]{rows}, 'ops_per_s') } ],
    [ 'get-64-threads-pinned', 'client CPU us/op', '<=', 4.5,
        sub { of($_[0]{rows}, 'cpu_us_per_op') } ],
    [ 'get-64-threads', 'client CPU us/op', '<=', 6,
        sub { of($_[0]{rows}, 'cpu_us_per_op') } ],
    [ 'get-64-threads', 'ops/s', '>=', 200_000,
        sub { of($_[0]{rows}, 'ops_per_s') } ],
    [ 'get-1-thread', "p50 to $stream", '<=', 1.15,
        sub { ratio($_[0], 'p50_us') } ],
    [ 'get-1-thread', "client CPU to $stream", '<=', 1.2,
        sub { ratio($_[0], 'cpu_us_per_op') } ],
    [ 'put-futures', 'client CPU us/op', '<=', 1.3,
        sub { of($_[0]{rows}, 'cpu_us_per_op') } ],
    [ 'batch-get-1000', 'client CPU us/key', '<=', 0.15,
        sub { of($_[0]{rows}, 'cpu_us_per_key') } ],
    [ 'get-futures-3-stores', 'MiB above bare C core', '<=', 20,
        sub { (of($_[0]{rows}, 'rss_bytes') -
            (of($floor{$stream} // [], 'rss_bytes') // 0)) / 1048576 } ],
);

sub goal_rows {
    my @lines;
    for (@goals) {
        my ($name, $what, $sign, $goal, $read) = @$_;
        my $cell = cell_named($name) or next;
        my $value = $read->($cell);
        next unless defined $value;
        my $is_met = $sign eq '<=' ? $value <= $goal : $value >= $goal;
        push @lines, sprintf '| %s | %s | %s %s | %s | %s |', $name, $what,
            $sign, $goal >= 1000 ? count_of($goal) : $goal,
            $value >= 1000 ? count_of($value) : sprintf('%.3g', $value),
            $is_met ? 'met' : '**missed**';
    }
    return @lines;
}

# ---- report.md ----

sub write_report {
    open my $out, '>', "$folder/report.md" or die "$folder/report.md: $!\n";
    print $out <<"END";
# Floor and product

`make perf DURATION=$setup{duration} ROUNDS=$setup{rounds}` at commit
$setup{commit}; $setup{cores} cores, $setup{cpu}, Linux $setup{kernel}; load
average $setup{load} before the run: above 1, other programs of this machine
spoiled it. Client, server and load share the cores. Medians of $setup{rounds} interleaved rounds of
$setup{duration} s; the range of the rounds in brackets. Ratios are taken
within each round. A row with more than $most stolen ticks is not clean: it was
measured up to $setup{tries} times, and is left out unless none is clean.
Processors kept awake: $setup{awake}. perf/README.md tells how to read it.

![client CPU per operation, and latencies](report.svg)

## Floor

| row | ops/s | client CPU us/op | p50 us | stolen |
|---|---:|---:|---:|---:|
END
    for my $name (@floors) {
        my $rows = $floor{$name};
        printf $out "| %s | %s | %s (%s) | %s | %s |\n", $name,
            count_of(of($rows, 'ops_per_s')),
            show(of($rows, 'cpu_us_per_op'), '%.3f'),
            range($rows, 'cpu_us_per_op'), show(of($rows, 'p50_us'), '%.1f'),
            stolen($rows);
    }
    print $out <<'END';

## Product

| row | ops/s | client CPU us/op | p50 us | p99 us | p99.9 us | requests/op | MiB | errors | stolen |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|
END
    for my $cell (@cells) {
        my $rows = $cell->{rows};
        printf $out "| %s | %s | %s (%s) | %s | %s | %s | %s | %s | %s | %s |\n",
            $cell->{name}, count_of(of($rows, 'ops_per_s')),
            show(of($rows, 'cpu_us_per_op'), '%.3f'),
            range($rows, 'cpu_us_per_op'),
            (map { show(of($rows, $_), '%.1f') } qw(p50_us p99_us p999_us)),
            show(of($rows, 'rpcs_per_op'), '%.3f'),
            show((of($rows, 'rss_bytes') // 0) / 1048576, '%.1f'),
            show(of($rows, 'errors'), '%d'), stolen($rows);
    }
    print $out <<'END';

## Ratios to the floor of the same round

Per key, where an operation is a batch.

| row | floor | client CPU | ops/s |
|---|---|---:|---:|
END
    printf $out "| %s | %s | %s | %s |\n", $_->{name}, $_->{floor},
        show(ratio($_, 'cpu_us_per_op'), '%.2fx'),
        show(ratio($_, 'ops_per_s'), '%.2fx') for @cells;
    print $out "\n## Goals\n\n| row | figure | goal | measured | |\n",
        "|---|---|---:|---:|---|\n";
    print $out "$_\n" for goal_rows();
    print $out "\n## Commands\n\n    perf-floor --duration $setup{duration}\n";
    print $out "    tikv-bench $_->{arguments} --duration $setup{duration}\n"
        for @cells;
    close $out or die "$folder/report.md: $!\n";
}

# ---- report.svg: bars on a logarithmic scale, and latency curves ----

my ($width, $left, $bar) = (860, 250, 18);

sub log10 { return log($_[0]) / log(10) }

sub text {
    my ($x, $y, $anchor, $text) = @_;
    return qq(<text x="$x" y="$y" text-anchor="$anchor">$text</text>\n);
}

sub bars {
    my ($y, @bars) = @_;
    my ($low, $high) = (-2, 3);
    my $scale = ($width - $left - 70) / ($high - $low);
    my $bottom = $y + $bar * @bars;
    my $svg = text($left, $y - 22, 'start',
        'client CPU per operation or key of a batch, us (grey: floor)');
    for my $power ($low .. $high) {
        my $x = $left + ($power - $low) * $scale;
        $svg .= qq(<line x1="$x" y1="$y" x2="$x" y2="$bottom" class="g"/>\n)
            . text($x, $y - 5, 'middle', 10 ** $power);
    }
    for (@bars) {
        my ($name, $value, $class) = @$_;
        my $length = (log10($value > 0.011 ? $value : 0.011) - $low) * $scale;
        $length = $scale * ($high - $low) if $length > $scale * ($high - $low);
        $svg .= sprintf qq(<rect x="%d" y="%d" width="%.1f" height="%d" )
            . qq(class="%s"/>\n), $left, $y + 3, $length, $bar - 5, $class;
        $svg .= text($left - 6, $y + $bar - 5, 'end', $name)
            . text($left + $length + 5, $y + $bar - 5, 'start',
                sprintf('%.3g', $value));
        $y += $bar;
    }
    return ($svg, $y);
}

# Points of a percentile file: how many nines, and the value.
sub curve {
    my ($file) = @_;
    my @points;
    for (lines_of($file)) {
        next unless /^\s*([\d.]+)\s+([\d.]+)\s+\d+\s+([\d.]+)\s*$/;
        push @points, [ log10($3), $1 ] if $1 > 0 && $2 < 1;
    }
    return @points;
}

my @colours = map { "#$_" } qw(1b6ca8 c8553d 3a7d44 8e5572 c99700 444444
    00868b 7a4b1e 5b5bd6 d1495b);

sub curves {
    my ($y) = @_;
    my ($height, $nines, $decades) = (300, 5, 6);
    my $across = ($width - $left - 70) / $nines;
    my $up = $height / $decades;
    my $bottom = $y + $height;
    my $svg = text($left, $y - 10, 'start',
        'latency, us, by percentile (the last round)');
    for my $at (0 .. $nines) {
        my $x = $left + $at * $across;
        my $name = $at == 0 ? '0' : $at == 1 ? '90 %'
            : '99' . ($at > 2 ? '.' . '9' x ($at - 2) : '') . ' %';
        $svg .= qq(<line x1="$x" y1="$y" x2="$x" y2="$bottom" class="g"/>\n)
            . text($x, $bottom + 15, 'middle', $name);
    }
    for my $at (0 .. $decades) {
        my $level = $bottom - $at * $up;
        my $right = $left + $nines * $across;
        $svg .= qq(<line x1="$left" y1="$level" x2="$right" y2="$level" )
            . qq(class="g"/>\n) . text($left - 6, $level + 4, 'end', 10 ** $at);
    }
    my $number = 0;
    for my $cell (@cells) {
        my $colour = $colours[$number % @colours];
        my @points = map { sprintf '%.1f,%.1f', $left + $_->[0] * $across,
            $bottom - ($_->[1] > 1 ? log10($_->[1]) : 0) * $up }
            grep { $_->[0] <= $nines }
            curve("$folder/$cell->{name}-$rounds[-1].hdr");
        $svg .= qq(<polyline points="@points" stroke="$colour" class="c"/>\n);
        $svg .= qq(<rect x="10" y=") . ($y + 3 + $number * 18)
            . qq(" width="12" height="12" fill="$colour"/>\n)
            . text(28, $y + 13 + $number * 18, 'start', $cell->{name});
        $number++;
    }
    return ($svg, $bottom + 30);
}

sub write_plot {
    my @bars = (
        (map { [ $_, of($floor{$_}, 'cpu_us_per_op') // 0, 'f' ] } @floors),
        (map { [ $_->{name}, of($_->{rows}, 'cpu_us_per_key') // 0, 'p' ] }
            @cells));
    my ($upper, $middle) = bars(45, @bars);
    my ($lower, $end) = curves($middle + 50);
    open my $out, '>', "$folder/report.svg" or die "$folder/report.svg: $!\n";
    print $out <<"END";
<svg xmlns="http://www.w3.org/2000/svg" width="$width" height="$end">
<style>
svg { background: #fff }
text { font: 11px sans-serif; fill: #222 }
.g { stroke: #ddd }
.f { fill: #aaa }
.p { fill: #1b6ca8 }
.c { fill: none; stroke-width: 1.5 }
</style>
$upper$lower</svg>
END
    close $out or die "$folder/report.svg: $!\n";
}

write_report();
write_plot();
print "$folder/report.md\n";

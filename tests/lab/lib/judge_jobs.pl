#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# judge_jobs.pl FOLDER JOBS: what tests/lab/inside/jobs.sh has left there, seen by four witnesses: who called gpuvm (jobs/list), gpuvm's
# reports, the guests' consoles, and what the kernel told of gpuvm's files (cards.record). Prints the sum of it and "ok:" or "NOT OK:" for
# each check; fails where one does.
use strict;
use warnings;
use JSON::PP;
use Time::Local 'timegm';

my ($folder, $count) = @ARGV;
my %card_of_size = (16384 => '0000:04:00.0', 32768 => '0000:06:00.0');    # by BAR 0, which is all that a guest knows of it
my ($checks, $failed) = (0, 0);

sub text_of {
  open my $file, '<', $_[0] or return '';
  local $/;
  return scalar <$file> // '';
}

# check WHAT VIOLATIONS…: none of them must be there.
sub check {
  my ($what, @violations) = @_;
  ++$checks;
  return print "ok: $what\n" if !@violations;
  ++$failed;
  print "NOT OK: $what: ", scalar(@violations), " times\n", map { "  $_\n" } @violations > 5 ? @violations[0 .. 4] : @violations;
}

# Seconds since 1970, of "2026-01-01T00:00:00.000Z".
sub seconds_of {
  my ($text) = @_;
  my ($year, $month, $day, $hour, $minute, $second, $rest) = $text =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)(\.\d+)Z/ or return 0;
  return timegm($second, $minute, $hour, $day, $month - 1, $year) + $rest;
}

# A line of jobs/list with all that is known of the job.
sub read_job {
  my ($name, $kind, $status, @expected) = split ' ', $_[0];
  my $report = eval { decode_json(text_of("$folder/jobs/$name/result.json")) } // {};
  my %job = (name => $name, kind => $kind, status => $status, expected => "@expected", report => $report);
  $job{got} = join ' ', $status, map { $_ // '' } @$report{'channel', 'outcome'};
  my ($wait) = grep { $_->{name} eq 'wait' } @{$report->{phases} // []};
  $job{told_wait} = $wait->{duration_ms} / 1000 if $wait;
  ($job{card}) = text_of("$folder/jobs/$name/gpuvm.log") =~ /\bhas (0000:[0-9a-f:.]+)/;
  my $console = text_of("$folder/jobs/$name/console.log");
  ($job{from}, my $who, my $size) = $console =~ /^(\S+) HAS (\S+) (\d+)/m;
  ($job{until}, my $mark) = $console =~ /^(\S+) STILL (\S+)/m;
  $job{seen} = $card_of_size{$size // ''};
  $job{is_told} = defined $mark && $who eq $name && $mark eq $name;
  $job{$_} = seconds_of($job{$_} // '') for 'from', 'until';
  return \%job;
}

# Of the record: which guest had each card when, who came in which order, and who was served in which.
sub read_record {
  my (%holder, %ticket, %came);
  my %record = (twice => [], order => [], taken => {}, wait => {}, most => 0);
  for (split /\n/, text_of("$folder/cards.record")) {
    my ($time, $name, $verb, $owner) = split ' ', $_, 4;
    next if !defined $verb;
    if ($name =~ /^ticket-0*(\d+)$/) {
      if ($verb eq 'has') {
        $ticket{$1} = $owner;
        $came{$owner} = $time;
        $record{most} = keys %ticket if keys %ticket > $record{most};
      } else {
        delete $ticket{$1};
      }
      next;
    }
    my $card = $name =~ s/\.state$//r;
    if ($verb ne 'has') {
      delete $holder{$card};
      next;
    }
    push @{$record{twice}}, "$card is given to $owner while $holder{$card} has it" if exists $holder{$card};
    $holder{$card} = $owner;
    push @{$record{taken}{$owner}}, $card;
    $record{wait}{$owner} = $time - $came{$owner} if exists $came{$owner};
    my ($first) = sort { $a <=> $b } keys %ticket;
    push @{$record{order}}, "$owner has $card before $ticket{$first}" if defined $first && $ticket{$first} ne $owner;
  }
  push @{$record{twice}}, "$_ is never given back" for keys %holder;
  push @{$record{order}}, "$ticket{$_} is never served" for keys %ticket;
  return \%record;
}

sub middle { my @sorted = sort { $a <=> $b } @_; return @sorted ? $sorted[@sorted / 2] : 0 }
sub most { my @sorted = sort { $a <=> $b } @_; return @sorted ? $sorted[-1] : 0 }

my @jobs = map { read_job($_) } split /\n/, text_of("$folder/jobs/list");
my $record = read_record();

check('each job was run once, and has its report', @jobs == $count ? () : scalar(@jobs) . " jobs in place of $count");
check('no verdict is wrong', map { "$_->{name} ($_->{kind}): $_->{got}, not $_->{expected}" } grep { $_->{got} ne $_->{expected} } @jobs);
check('each guest had a card, and its mark in it stayed', map { $_->{name} } grep { !$_->{is_told} } @jobs);
check('each guest saw the card that gpuvm says', map { $_->{name} } grep { ($_->{seen} // '') ne ($_->{card} // '-') } @jobs);
check('each job took one card, once',
  map { $_->{name} } grep { join(' ', @{$record->{taken}{$_->{name}} // []}) ne ($_->{card} // '-') } @jobs);
check('each reset was verified', map { $_->{name} }
    grep { my $job = $_; @{$job->{report}{resets} // []} != 2 || grep { $_->{verdict} ne 'verified' } @{$job->{report}{resets}} } @jobs);
check('no card is given twice, by the record', @{$record->{twice}});
my @overlaps;
for my $card (values %card_of_size) {
  my $before;
  for my $job (sort { $a->{from} <=> $b->{from} } grep { ($_->{seen} // '') eq $card } @jobs) {
    push @overlaps, "$job->{name} and $before->{name}: $card" if $before && $job->{from} <= $before->{until};
    $before = $job;
  }
}
check('no card is given twice, by what the guests printed and when', @overlaps);
check('who came first has the first card', @{$record->{order}});
check('jobs did wait', %{$record->{wait}} ? () : 'none');
# A report's wait begins a little before the ticket, and ends a little behind the card's file.
check('each report says how long its job waited',
  map { $_->{name} } grep { !defined $_->{told_wait} || $_->{told_wait} < ($record->{wait}{$_->{name}} // 0) - 0.5 } @jobs);

my %by_kind;
++$by_kind{"$_->{kind} ($_->{status})"} for @jobs;
my %by_card;
++$by_card{$_->{card} // 'none'} for @jobs;
my @waits = values %{$record->{wait}};
printf "SUMMARY %d jobs: %s\n", scalar(@jobs), join ', ', map { "$by_kind{$_} $_" } sort keys %by_kind;
printf "SUMMARY cards: %s\n", join ', ', map { "$_ $by_card{$_} times" } sort keys %by_card;
printf "SUMMARY queue: %d jobs waited, at most %d at once; a wait: median %.1f s, longest %.1f s\n", scalar(@waits), $record->{most},
  middle(@waits), most(@waits);
printf "%d checks, %d failed\n", $checks, $failed;
exit($failed ? 1 : 0);

TABLE event_engine.stat_subscriptions;
TABLE event_engine.stat_workers;
TABLE event_engine.event_partitions;

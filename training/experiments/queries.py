"""The questions that an experiment puts to DuckDB: who took part, and what came of them.

Tables follow one another: decided, participants (one row a customer, in the arm of the first
decision), valued (what each of them did, by channel and type), counted (what was decided).
"""

from features.history.partitions import CUSTOMER_KEY
from features.vocabulary import Initiator

ALL, CHANNEL, TYPE, CONTACTS = "all", "channel", "type", "contacts"

DECIDED = """
CREATE OR REPLACE TEMP TABLE decided AS
SELECT coalesce(a.customer_key, d.customer_key) AS customer_key, decide_time, arm, channel,
    initiator, reason
FROM {decisions} AS d LEFT JOIN aliases AS a ON a.alias = d.customer_key
WHERE d.customer_key IS NOT NULL AND experiment = $experiment
"""
PARTICIPANTS = """
CREATE OR REPLACE TEMP TABLE participants AS
SELECT *, ntile($steps) OVER (ORDER BY begin_time, customer_key) AS step
FROM (
    SELECT customer_key, arg_min(arm, decide_time) AS arm, min(decide_time) AS begin_time,
        count(DISTINCT arm) > 1 AS moved
    FROM decided GROUP BY customer_key
)
WHERE begin_time + $window <= $newest
"""
VALUED = f"""
CREATE OR REPLACE TEMP TABLE valued AS
SELECT p.customer_key, p.arm, p.step, i.channel, i.type,
    sum(w.customer) AS customer, sum(w.company) AS company
FROM participants AS p
JOIN (
    SELECT channel, type, event_time, coalesce(a.customer_key, own_key) AS customer_key
    FROM (SELECT *, {CUSTOMER_KEY} AS own_key FROM {{history}}) AS h
    LEFT JOIN aliases AS a ON a.alias = own_key
) AS i ON i.customer_key = p.customer_key
    AND i.event_time >= p.begin_time AND i.event_time < p.begin_time + $window
JOIN worths AS w USING (type)
GROUP BY ALL
"""
COUNTED = f"""
CREATE OR REPLACE TEMP TABLE counted AS
SELECT p.customer_key, p.arm, p.step, d.channel, count(*) AS asked,
    count(*) FILTER (d.reason = '') AS offered, d.initiator = '{Initiator.COMPANY}' AS unasked
FROM participants AS p JOIN decided AS d ON d.customer_key = p.customer_key
    AND d.decide_time < p.begin_time + $window
GROUP BY ALL
"""
SUMS = f"""
WITH sliced AS (
    SELECT '{ALL}' AS kind, '' AS name, arm, step, sum(customer) AS customer,
        sum(company) AS company
    FROM valued GROUP BY arm, step, customer_key
    UNION ALL
    SELECT '{CHANNEL}', channel, arm, 0, sum(customer), sum(company)
    FROM valued GROUP BY channel, arm, customer_key
    UNION ALL
    SELECT '{TYPE}', type, arm, 0, sum(customer), sum(company)
    FROM valued GROUP BY type, arm, customer_key
    UNION ALL
    SELECT '{CONTACTS}', '', arm, 0, sum(offered), 0 FROM counted WHERE unasked
    GROUP BY arm, customer_key
)
SELECT kind, name, arm, step,
    sum(customer) AS customer, sum(customer ** 2) AS customer_squares,
    sum(company) AS company, sum(company ** 2) AS company_squares,
    sum(customer + company) AS both, sum((customer + company) ** 2) AS both_squares
FROM sliced GROUP BY ALL ORDER BY ALL
"""
ASKED = """
SELECT arm, channel, unasked, sum(asked)::BIGINT AS asked, sum(offered)::BIGINT AS offered
FROM counted GROUP BY ALL ORDER BY ALL
"""
COUNTS = "SELECT arm, step, count(*) AS count FROM participants GROUP BY ALL"

"""A simulated shop and its customers: a two-sided, omni-channel history with known ground truth.

How the world works, day by day:

* Items belong to 40 categories of 8 departments, each in a value and a premium line of two brands.
  Department and line are an item's *taste cluster* (16). Within category and line, popularity is
  Zipf-like, and each item has a *successor*: the one that people tend to look at next.
* Customers have a main and a second taste, a kind of brand they prefer, a personal activity, hour,
  weekday rhythm and preferred channels, and join in the course of time. Their *intent* is a latent
  state: inactive, browse, compare, buy, after-sales. A journey has a focus (category and line);
  within it they search, view (successors often), make a detour and come back, like an item, put it
  into the cart and buy it, on the web, in the app, or in a store, where only purchases leave a
  trace. After a purchase many go on to the complementary category.
* Orders from web and app are delivered, or delayed first; a delay is often followed by a
  complaint or a service request, these by a reply; some items are rated or returned. Bad
  experience keeps customers away for a while.
* The company shows items in web and app, and sends messages. Each customer has a randomly drawn
  *contact arm* (none, rare, often, daily). A wanted message brings a visit; each contact adds to
  *fatigue*, which fades over days, lowers the response, and leads to dismissals and opt-outs.

The same customers, days, items, seed and last day give the same history, byte by byte of content;
the last day is today unless named.

What is written: history parts and items, as an import would write them, and the ground truth in
`truth/` of the home directory:

    customers.parquet  customer_id, taste_cluster, second_cluster, activity, contact_arm, joined
    items.parquet      item_id, taste_cluster, category, popularity (share), quality, successor_id
    intents.parquet    customer_id, time, intent: one row each time that the intent changed
    contacts.parquet   customer_id, time, item_id, decision_id, wanted, fatigue (before it),
                       visit_probability, response (none, visit, dismissal, opt-out)
"""

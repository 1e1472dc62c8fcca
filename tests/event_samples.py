"""Literal samples of the public event formats, as their documentation shows them."""

from typing import Any

CLOUD_EVENT = {
    "specversion": "1.0",
    "type": "com.example.shop.purchase",
    "source": "/shop/checkout",
    "subject": None,
    "id": "C234-1234-1234",
    "time": "2018-04-05T17:31:00Z",
    "channel": "store",
    "datacontenttype": "application/json",
    "data": {
        "customerId": "ada",
        "itemId": "i7",
        "quantity": 2,
        "money": {"currencyCode": "EUR", "amount": 12.5},
        "attributes": {"till": "4"},
    },
}
GA4_ROW = {
    "event_date": "20201130",
    "event_timestamp": "1606708800123456",
    "event_name": "purchase",
    "event_params": [
        {"key": "ga_session_id", "value": {"int_value": "1606708700"}},
        {"key": "currency", "value": {"string_value": "USD"}},
        {"key": "transaction_id", "value": {"string_value": "T_12345"}},
        {"key": "value", "value": {"double_value": 72.05}},
    ],
    "event_bundle_sequence_id": "-4013437346",
    "user_id": None,
    "user_pseudo_id": "1026454.4271112504",
    "platform": "WEB",
    "stream_id": "2100450278",
    "ecommerce": {"total_item_quantity": "3", "transaction_id": "T_12345"},
    "items": [
        {"item_id": "SKU_1", "item_name": "Tee", "price": 10.01, "quantity": "3"},
        {"item_id": "SKU_2", "item_name": "Cap", "item_revenue": 42.02, "quantity": "1"},
    ],
}
GA4_PAYLOAD = {
    "client_id": "1026454.4271112504",
    "user_id": "ada",
    "timestamp_micros": 1606708800000000,
    "non_personalized_ads": False,
    "events": [
        {"name": "search", "params": {"search_term": "t-shirts", "session_id": "9"}},
        {
            "name": "view_item_list",
            "params": {
                "item_list_id": "related_products",
                "items": [
                    {"item_id": "SKU_1", "item_name": "Tee", "index": 0},
                    {"item_id": "SKU_2", "item_name": "Cap", "index": 1},
                ],
            },
        },
        {
            "name": "refund",
            "params": {"currency": "USD", "transaction_id": "T_12345_1", "value": 12.21},
        },
    ],
}
SEGMENT_CALL = {
    "anonymousId": "507f191e810c19729de860ea",
    "channel": "browser",
    "context": {"ip": "8.8.8.8", "userAgent": "Mozilla/5.0"},
    "event": "Order Completed",
    "messageId": "bbac-11e4-8dfc-aa07a5b093db",
    "originalTimestamp": "2015-02-23T22:28:55.387Z",
    "properties": {
        "checkout_id": "fksdjfsdjfisjf9sdfjsd9f",
        "order_id": "50314b8e9bcf000000000000",
        "total": 27.50,
        "revenue": 25.00,
        "currency": "EUR",
        "products": [
            {
                "product_id": "507f1f77bcf86cd799439011",
                "sku": "45790-32",
                "name": "Monopoly: 3rd Edition",
                "price": 19,
                "quantity": 1,
            },
            {"product_id": "505bd76785ebb509fc183733", "price": 3, "quantity": 2},
        ],
    },
    "receivedAt": "2015-02-23T22:28:55.415Z",
    "sentAt": "2015-02-23T22:28:55.111Z",
    "timestamp": "2015-02-23T22:28:55.111Z",
    "type": "track",
    "userId": "97980cfea0067",
    "version": "1.1",
}
PUT_EVENTS = {
    "trackingId": "tracking_id",
    "userId": "user555",
    "sessionId": "session1",
    "eventList": [
        {
            "eventId": "event1",
            "sentAt": 1553631760,
            "eventType": "click",
            "itemId": "movie_ten",
            "recommendationId": "RID-1",
            "impression": ["movie_ten", "choc-panama"],
        },
        {
            "eventId": "event2",
            "sentAt": 1553631782,
            "eventType": "rating",
            "properties": '{"itemId": "movie_ten", "eventValue": "4", "numRatings": "13"}',
        },
    ],
}
USER_EVENT = {
    "eventType": "purchase-complete",
    "visitorId": "visitor0",
    "userInfo": {"userId": "user0", "ipAddress": "192.0.2.1"},
    "eventTime": "2020-01-01T03:33:33.000001Z",
    "attributionToken": "ABC",
    "cartId": "cart1",
    "productDetails": [
        {"product": {"id": "abc"}, "quantity": 1},
        {"product": {"id": "def"}, "quantity": 3},
    ],
    "purchaseTransaction": {"id": "tr-1", "revenue": 100.0, "currencyCode": "USD"},
}
SAMPLES: dict[str, dict[str, Any]] = {
    "cloudevents": CLOUD_EVENT,
    "ga4": GA4_ROW,
    "segment": SEGMENT_CALL,
    "personalize": PUT_EVENTS,
    "retail": USER_EVENT,
}
